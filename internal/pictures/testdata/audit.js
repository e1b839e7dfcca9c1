// Measures the page as it stands: what does not fit, what cannot be read against its
// background (WCAG 2.1, 1.4.3: 4.5 to 1, and 3 to 1 for large text), and the layout.
(() => {
  const out = { overflow: [], contrast: [], layout: [], text: document.body.innerText, texts: 0 };
  const wide = document.documentElement.clientWidth;
  const name = (e) => e.tagName.toLowerCase() + (e.className && typeof e.className === 'string' ? '.' + e.className.trim().replace(/\s+/g, '.') : '');
  const seen = (e) => e.checkVisibility({ contentVisibilityAuto: true, visibilityProperty: true }) && e.getClientRects().length > 0;
  if (document.documentElement.scrollWidth > wide) out.overflow.push(`the page is ${document.documentElement.scrollWidth} px wide in ${wide}`);
  const card = document.querySelector('.card') || document.body;
  const frame = card.getBoundingClientRect();
  for (const e of document.querySelectorAll('body *')) {
    if (!seen(e) || e.closest('svg')) continue;
    const r = e.getBoundingClientRect();
    const s = getComputedStyle(e);
    if (s.display !== 'inline' && e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1) out.overflow.push(`${name(e)}: ${e.scrollWidth} px in ${e.clientWidth}: ${e.textContent.trim().slice(0, 60)}`);
    if (r.width > 0 && (r.right > wide + 1 || r.left < -1)) out.overflow.push(`${name(e)} leaves the page`);
    if (card.contains(e) && e !== card && r.width > 0 && (r.right > frame.right + 1 || r.left < frame.left - 1)) out.overflow.push(`${name(e)} leaves its card`);
    if (card.contains(e) && s.display !== 'inline' && r.width > 0) {
      out.layout.push({ what: name(e), left: Math.round(100 * (r.left - frame.left) / frame.width), width: Math.round(100 * r.width / frame.width) });
    }
  }
  const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const ground = (e) => {
    const layers = [];
    for (let x = e; x; x = x.parentElement) layers.push(parse(getComputedStyle(x).backgroundColor));
    const canvas = matchMedia('(prefers-color-scheme: dark)').matches && getComputedStyle(document.documentElement).colorScheme.includes('dark') ? [18, 18, 18, 1] : [255, 255, 255, 1];
    return layers.reverse().reduce((under, top) => over(top, under), canvas);
  };
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const e = n.parentElement;
    if (!n.data.trim() || !seen(e)) continue;
    out.texts++;
    const s = getComputedStyle(e);
    const under = ground(e), ink = over(parse(s.color), under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(s.fontSize), large = size >= 24 || size >= 18.66 && Number(s.fontWeight) >= 700;
    if (ratio < (large ? 3 : 4.5)) out.contrast.push(`${ratio.toFixed(2)} to 1: ${name(e)} ${s.color} on ${under.slice(0, 3).map(Math.round)}: ${n.data.trim().slice(0, 50)}`);
  }
  return JSON.stringify(out);
})()
