"""What a benchmark found, for people: one HTML page, or Markdown.

    html(results, folder)                               # folder: where the paths of clips and sheets start
    markdown(results)

`results` is plain data, the JSON of a benchmark:

    title, version, formula                             # texts; formula: how the ranking's score is made
    environment                                         # {name: value}
    metrics                                             # {name: {unit, higher_is_better, what}}
    methods, controls, tasks                            # names
    ranking                                             # best first, or empty: [{method, score, low, high, ranks}];
                                                        #   ranks: {other formula: rank}
    rows                                                # [{edit, task, difficulty, method, seed, control, evaluations, seconds,
                                                        #   peak_memory_mb, clip, sheet, prompts: [of the source, of the edit],
                                                        #   scores: {metric: number or None}}]; prompts may be missing
    flags                                               # [{metric, control, beats: [methods]}]
    scatter                                             # {x: metric, y: metric}; may be missing
    sets                                                # {metrics, of: {method: {metric: number}}, about}; may be missing
    missing                                             # {metric: why there is no number of it}; may be missing
    worst                                               # the metric that orders the cases; if missing, the scatter's y

`clip` and `sheet` are paths of pictures or None; `newtake.video.compare(source, [edit, truth], "clip.webp")` makes a clip that
loops.
"""

from .page import html
from .text import markdown

__all__ = ["html", "markdown"]
