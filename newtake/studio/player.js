// <newtake-player>: a source and its edits, one over the other and in step.
//
//   <newtake-player source="source.mp4" times="[0, 0.125, 0.25]"><a href="edit.mp4">a blue ball</a> ...</newtake-player>
//
// times: when each frame begins and, last, when the clip ends, in seconds; of a picture two.  Each link is an edit, and its
// text the target.

const SHADOW = `
<link rel="stylesheet" href="${new URL("player.css", import.meta.url)}">
<div class="stage">
  <div class="under"></div><div class="over"></div><div class="line" aria-hidden="true"></div>
  <span class="tag left">source</span><span class="tag right">edit</span>
  <input class="wipe" type="range" min="0" max="100" step="1" value="50"
         aria-label="How much of the source is seen, from the left">
</div>
<div class="bar">
  <div class="moves">
    <button class="back" aria-label="One frame back">&#x276E;</button>
    <button class="play">Play</button>
    <button class="on" aria-label="One frame on">&#x276F;</button>
    <input class="frame" type="range" min="0" step="1" value="0" aria-label="Frame">
    <output class="where"></output>
  </div>
  <div class="views" role="group" aria-label="View">
    <button value="slider">Slider</button><button value="beside">Side by side</button>
    <button value="difference">Difference</button>
  </div>
</div>
<div class="edits" role="group" aria-label="Edits"></div>`;

class Player extends HTMLElement {
  connectedCallback() {
    this.watch = new MutationObserver(() => this.build());      // another run may be put into the same element
    this.watch.observe(this, {attributes: true, childList: true, subtree: true, characterData: true});
    this.build();
  }

  disconnectedCallback() {
    this.watch.disconnect();
    this.playing = false;
  }

  build() {
    const page = this.shadowRoot ?? this.attachShadow({mode: "open"});
    page.innerHTML = SHADOW;
    this.playing = false;
    this.one = name => page.querySelector("." + name);
    this.times = JSON.parse(this.getAttribute("times"));
    this.frames = this.times.length - 1;
    this.one("moves").hidden = this.frames < 2;
    this.one("frame").max = this.frames - 1;
    this.source = this.filled("under", this.getAttribute("source"), "The source");
    this.links = [...this.querySelectorAll("a")];
    this.one("wipe").oninput = () => this.wipe();
    this.one("frame").oninput = () => this.go(+this.one("frame").value);
    this.one("back").onclick = () => this.go(this.at - 1);
    this.one("on").onclick = () => this.go(this.at + 1);
    this.one("play").onclick = () => this.playing ? this.stop() : this.play();
    for (const button of page.querySelectorAll(".views button")) button.onclick = () => this.view(button.value);
    this.at = 0;
    this.gallery();
    this.choose(0);
    this.view("slider");
    this.wipe();
  }

  filled(place, file, label) {                        // a film, or where the file is a picture, that
    const film = document.createElement(this.frames > 1 ? "video" : "img");
    Object.assign(film, this.frames > 1 ? {muted: true, playsInline: true, preload: "auto"} : {});
    film.ariaLabel = film.alt = label;
    film.onloadedmetadata = film.onload = () => this.measured(film);
    film.src = file;
    this.one(place).replaceChildren(film);
    return film;
  }

  measured(film) {                                    // few pixels are shown as pixels
    const [width, height] = [film.videoWidth ?? film.naturalWidth, film.videoHeight ?? film.naturalHeight];
    this.one("stage").style.setProperty("--aspect", width / height);
    this.one("stage").classList.toggle("few", width < 200);
    if (this.frames > 1) this.seek(film);
  }

  gallery() {
    this.one("edits").hidden = this.links.length < 2;
    this.one("edits").replaceChildren(...this.links.map((link, i) => {
      const button = document.createElement("button");
      const film = document.createElement(this.frames > 1 ? "video" : "img");
      Object.assign(film, {src: link.href, muted: true, alt: ""});
      button.append(film, link.textContent);
      button.onclick = () => this.choose(i);
      return button;
    }));
  }

  choose(number) {
    this.stop();
    const link = this.links[number];
    this.edit = this.filled("over", link.href, link.textContent);
    [...this.one("edits").children].forEach((button, i) => button.ariaPressed = i === number);
    this.told();
  }

  view(name) {
    this.one("stage").dataset.view = name;
    for (const button of this.one("views").children) button.ariaPressed = button.value === name;
  }

  wipe() { this.one("stage").style.setProperty("--wipe", this.one("wipe").value + "%"); }

  go(number) {                                        // round the ends
    this.stop();
    this.at = (number + this.frames) % this.frames;
    this.seek(this.source);
    this.seek(this.edit);
    this.told();
  }

  seek(film) { if (this.frames > 1) film.currentTime = this.middle(this.at); }

  middle(frame) { return (this.times[frame] + this.times[frame + 1]) / 2; }   // of its time: no rounding hits a neighbour

  async play() {
    this.playing = true;
    this.one("play").textContent = "Pause";
    await Promise.allSettled([this.source.play(), this.edit.play()]);
    this.step();
  }

  stop() {
    if (!this.playing) return;
    this.playing = false;
    this.one("play").textContent = "Play";
    this.source.pause();
    this.edit.pause();
    this.seek(this.source);
    this.seek(this.edit);
  }

  step() {                                            // while it plays: the edit follows the source
    if (!this.playing) return;
    if (this.source.ended) {
      this.source.currentTime = this.edit.currentTime = 0;
      this.source.play();
      this.edit.play();
    }
    const now = this.source.currentTime, next = this.times.findIndex(time => time > now);
    this.at = next < 0 ? this.frames - 1 : Math.max(0, next - 1);
    const half = (this.times[this.at + 1] - this.times[this.at]) / 2;
    if (!this.edit.ended && Math.abs(this.edit.currentTime - now) > half) this.edit.currentTime = now;
    this.told();
    requestAnimationFrame(() => this.step());
  }

  told() {
    this.one("frame").value = this.at;
    this.one("where").textContent = `${this.at + 1} of ${this.frames}`;
  }
}

customElements.define("newtake-player", Player);
