(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const analysis = JSON.parse(byId("analysis").textContent);
  const { findings, anomaly_curve: curve, expert_weights: weights, intensity_curve: reactions } = analysis;
  const windows = curve.length ? curve : reactions;
  const plots = byId("plots"), cursor = byId("cursor"), hover = byId("hover"), scroller = byId("scroller");
  const video = byId("video"), still = byId("still"), absent = byId("absent"), playing = byId("playing");
  const original = byId("original"), originalHref = original && original.getAttribute("href");
  const durationS = Number(cursor.getAttribute("aria-valuemax"));
  const clips = new Map([...document.querySelectorAll("script.clip")].map((node) => [Number(node.dataset.finding), {
    node, start: Number(node.dataset.start), end: Number(node.dataset.end), url: null,
  }]));
  const articles = [...document.querySelectorAll("article")];
  const links = [...document.querySelectorAll("[data-finding]:not(script)")];
  let now = 0, selected = -1, askedS = 0;

  const clock = (time) => {
    const tenths = Math.round(time * 10), s = Math.floor(tenths / 10), pad = (n) => String(n).padStart(2, "0");
    const rest = `${pad(s % 60)}.${tenths % 10}`, m = Math.floor(s / 60);
    return m >= 60 ? `${Math.floor(m / 60)}:${pad(m % 60)}:${rest}` : `${m}:${rest}`;
  };
  // the window that holds a time: the last one that starts at or before it
  const windowAt = (points, time) => {
    let low = 0, high = points.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle].start_s <= time) low = middle + 1; else high = middle;
    }
    const point = points[low - 1];
    return point && (time < point.end_s || (low === points.length && time <= point.end_s + 0.05)) ? point : null;
  };
  const likeliest = (posterior) => Object.entries(posterior).reduce((best, entry) => (entry[1] > best[1] ? entry : best));

  function showValues(time) {
    const point = windowAt(curve, time), share = windowAt(weights, time), felt = windowAt(reactions, time);
    const parts = [["", clock(time)]];
    if (point) for (const posterior of Object.values(point.posterior)) {
      if (Object.keys(posterior).length) {
        const [label, probability] = likeliest(posterior);
        parts.push([label, probability.toFixed(2)]);
      }
    }
    if (felt) {
      const [label, intensity] = likeliest(felt.intensities);
      parts.push([label, intensity.toFixed(2)]);
    }
    if (!point && !felt) parts.push(["not scored here", ""]);
    byId("values").replaceChildren(...parts.map(([name, value]) => {
      const span = document.createElement("span"), strong = document.createElement("b");
      strong.textContent = value;
      span.append(name ? `${name} ` : "", strong);
      return span;
    }));
    for (const output of document.querySelectorAll("output[data-emotion]"))
      output.textContent = felt ? felt.intensities[output.dataset.emotion].toFixed(2) : "–";
    if (!byId("value-anomaly")) return felt ? likeliest(felt.intensities) : null;
    byId("value-anomaly").textContent = point ? point.score.toFixed(2) : "–";
    for (const output of document.querySelectorAll("output[data-scene]"))
      output.textContent = share ? (share[output.dataset.scene] ?? 0).toFixed(2) : "–";
    return point ? ["anomaly", point.score] : null;
  }

  function moveTo(time) {
    now = Math.min(Math.max(time, 0), durationS);
    cursor.style.setProperty("--at", `${100 * now / durationS}%`);
    const shown = showValues(now);
    cursor.setAttribute("aria-valuenow", now.toFixed(1));
    cursor.setAttribute("aria-valuetext", clock(now) + (shown ? `, ${shown[0]} ${shown[1].toFixed(2)}` : ", not scored"));
    if (original) {
      original.href = `${originalHref}#t=${now.toFixed(1)}`;
      original.textContent = `Open the original video at ${clock(now).replace(/\.\d$/, "")}`;
    }
  }

  function clipUrl(clip) {
    if (!clip.url) {
      const bytes = Uint8Array.from(atob(clip.node.textContent), (sign) => sign.charCodeAt(0));
      clip.url = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
    }
    return clip.url;
  }

  function say(text) {
    absent.textContent = text;
    absent.hidden = !text;
  }

  function select(number, time = findings[number].span.start_s) {
    const changed = number !== selected;
    selected = number;
    articles.forEach((article, index) => { article.hidden = index !== number; });
    for (const link of links) {
      if (Number(link.dataset.finding) === number) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    const listed = document.querySelector(`.list [data-finding="${number}"]`), list = listed.closest("ol");
    if (changed) list.scrollTop = Math.min(Math.max(list.scrollTop, listed.offsetTop + listed.offsetHeight - list.offsetTop - list.clientHeight + 8), listed.offsetTop - list.offsetTop - 8);
    const clip = clips.get(number), picture = articles[number].querySelector("img");
    if (changed) {
      video.pause();
      video.hidden = !clip;
      still.hidden = Boolean(clip) || !picture;
      if (clip) {
        video.src = clipUrl(clip);
        playing.textContent = `Preview ${clock(clip.start)}–${clock(clip.end)}`;
      } else {
        video.removeAttribute("src");
        if (picture) { still.src = picture.src; still.alt = picture.alt; }
        playing.textContent = picture ? "Key frame" : "";
      }
    }
    say(clip ? "" : "There is no preview of this finding.");
    if (clip) {
      askedS = Math.max(time - clip.start, 0);
      video.currentTime = askedS;
    }
    moveTo(time);
  }

  function goTo(time) {
    const covers = (clip) => clip && time >= clip.start && time <= clip.end;
    if (covers(clips.get(selected))) { select(selected, time); return; }
    const inside = (n) => findings[n].span.start_s <= time && time < findings[n].span.end_s;
    const found = [...clips.keys()].filter((n) => covers(clips.get(n)))
      .sort((a, b) => inside(b) - inside(a) || findings[b].score - findings[a].score)[0];
    if (found !== undefined) { select(found, time); return; }
    const held = findings.findIndex((_, n) => inside(n));
    if (held >= 0) { select(held, time); return; }
    if (video) {
      video.pause();
      say(`No preview at ${clock(time)}: previews show findings.${original ? " The original video has it." : ""}`);
    }
    moveTo(time);
  }

  const step = (direction, steps = 1) => {
    const point = windowAt(windows, now), width = point ? point.end_s - point.start_s : Math.max(durationS / 100, 0.1);
    goTo(Math.min(Math.max(now + direction * steps * width, 0), durationS));
    keepInView();
  };
  function keepInView() {
    const x = plots.offsetWidth * now / durationS, { scrollLeft: left, clientWidth: width } = scroller;
    if (x < left || x > left + width) scroller.scrollLeft = x - width / 2;
  }
  const timeAt = (event) => {
    const box = plots.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * durationS;
  };

  plots.addEventListener("click", (event) => { if (!event.target.closest("a")) goTo(timeAt(event)); });
  plots.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch" && !cursor.hasPointerCapture(event.pointerId)) return;
    const time = timeAt(event);
    if (cursor.hasPointerCapture(event.pointerId)) { goTo(time); return; }
    hover.hidden = false;
    hover.style.setProperty("--at", `${100 * time / durationS}%`);
    showValues(time);
  });
  plots.addEventListener("pointerleave", () => { hover.hidden = true; showValues(now); });
  cursor.addEventListener("pointerdown", (event) => { cursor.setPointerCapture(event.pointerId); cursor.focus(); });
  for (const link of links) link.addEventListener("click", (event) => {
    event.preventDefault();
    event.stopPropagation();
    select(Number(link.dataset.finding));
  });
  document.querySelector(".list ol")?.addEventListener("keydown", (event) => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!move) return;
    event.preventDefault();
    const next = Math.min(Math.max(selected + move, 0), findings.length - 1);
    select(next);
    document.querySelector(`.list [data-finding="${next}"]`).focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = event.target;
    const busy = at.closest("input, button, summary, video");
    if (/^[1-9]$/.test(event.key) && Number(event.key) <= findings.length) select(Number(event.key) - 1);
    else if (event.key === " " && video && !busy && !video.hidden) { if (video.paused) video.play().catch(() => {}); else video.pause(); }
    else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && !at.closest("input, video"))
      step(event.key === "ArrowLeft" ? -1 : 1, event.shiftKey ? 10 : 1);
    else if (at === cursor && event.key === "Home") goTo(0);
    else if (at === cursor && event.key === "End") goTo(durationS);
    else return;
    event.preventDefault();
  });
  document.querySelector(".zoom")?.addEventListener("click", (event) => {
    const zoom = event.target.dataset.zoom;
    if (!zoom) return;
    for (const button of document.querySelectorAll(".zoom button"))
      button.setAttribute("aria-pressed", String(button.dataset.zoom === zoom));
    for (const axis of document.querySelectorAll(".axis")) axis.hidden = axis.dataset.zoom !== zoom;
    plots.style.setProperty("--zoom", zoom);
    fitBars();
    scroller.scrollLeft = plots.offsetWidth * now / durationS - scroller.clientWidth / 2;
  });
  if (video) {
    const follow = () => {
      const clip = clips.get(selected);
      if (clip && !video.paused) moveTo(Math.min(clip.start + video.currentTime, clip.end));
      if (!video.paused) requestAnimationFrame(follow);
    };
    video.addEventListener("play", () => { say(""); follow(); });
    video.addEventListener("seeked", () => {
      const clip = clips.get(selected);
      // only seeks by the player's own controls move the cursor: ours may end after it has moved on
      if (clip && Math.abs(video.currentTime - askedS) > 0.05) moveTo(clip.start + video.currentTime);
    });
  }
  // a name that does not fit its bar would be cut in the middle of a word
  function fitBars() {
    for (const bar of document.querySelectorAll(".lane a")) {
      bar.classList.remove("slim");
      bar.classList.toggle("slim", bar.scrollWidth > bar.clientWidth);
    }
  }
  addEventListener("resize", fitBars);
  fitBars();
  const card = document.querySelector("#model-card details");
  const openCard = () => { if (card && location.hash === "#model-card") card.open = true; };
  addEventListener("hashchange", openCard);
  openCard();

  const asked = /^#finding-(\d+)$/.exec(location.hash);
  const strongest = findings.reduce((best, finding, n) => (best < 0 || finding.score > findings[best].score ? n : best), -1);
  if (findings.length) select(asked && findings[asked[1] - 1] ? asked[1] - 1 : strongest);
  else {
    const height = (stretch) => (curve.length ? stretch.score : likeliest(stretch.intensities)[1]);
    moveTo(windows.length ? windows.reduce((best, stretch) => (height(stretch) > height(best) ? stretch : best)).start_s : 0);
  }
})();
