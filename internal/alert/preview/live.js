// Looks once a second whether something new was sent, and then loads the page
// again; the place on the page stays. When the world is gone it says so.
'use strict';
const shown = document.documentElement.dataset.count;
const state = document.getElementById('state');
setInterval(async () => {
  try {
    const answer = await fetch('/count', { cache: 'no-store' });
    if ((await answer.text()) !== shown) location.reload();
    state.textContent = 'live';
  } catch {
    state.textContent = 'the world has ended';
  }
}, 1000);
