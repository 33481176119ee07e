"""How the page looks: the house's colours, the system's own letters, nothing from elsewhere."""

from __future__ import annotations

from typing import Any

from gradio.themes import Base, Color

LETTERS = ["system-ui", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif"]
RUST = Color("#fdf5f1", "#f6e7df", "#efcdbc", "#e5a78a", "#d9805a", "#b4481e", "#a03f19", "#853414", "#6a2a10", "#4f1f0c",
             "#37160a", name="rust")
PAPER = Color("#fbfaf8", "#f4f2ee", "#e4e1da", "#cfcbc2", "#a19d94", "#6b6862", "#55524d", "#37342f", "#28261f", "#201f1c",
              "#171614", name="paper")
HEAD = '<link rel="stylesheet" href="/studio/page.css"><script type="module" src="/studio/player.js"></script>'


def look() -> dict[str, Any]:
    """What `gradio.mount_gradio_app` takes of it."""
    theme = Base(primary_hue=RUST, secondary_hue=RUST, neutral_hue=PAPER, font=LETTERS,
                 font_mono=["ui-monospace", "monospace"], radius_size="md", text_size="md").set(
        body_background_fill="*neutral_50", block_background_fill="white", block_background_fill_dark="*neutral_900",
        block_info_text_color="*neutral_500", block_label_text_color="*neutral_900", block_title_text_color="*neutral_900",
        block_title_text_weight="600", input_background_fill="white", input_border_width="1px",
        input_border_color="*neutral_300", button_primary_background_fill="*primary_500",
        button_primary_background_fill_hover="*primary_600", button_primary_text_color="white",
        slider_color="*primary_500")
    return {"theme": theme, "head": HEAD}
