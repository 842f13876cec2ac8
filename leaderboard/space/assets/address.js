(...values) => {
  // Only what differs from the page as it opens stands in the address; gradio's own parameters stay.
  const address = new URL(window.location.href);
  const opened = address.searchParams.get('tab');
  DEFAULTS.forEach(([name, initial], i) => {
    const value = values[i];
    const text = Array.isArray(value) ? value.join(',') : value === true ? '1' : value === false ? '0' : String(value ?? '');
    const usual = Array.isArray(initial) ? initial.join(',') : initial === true ? '1' : initial === false ? '0' : String(initial ?? '');
    if (text === usual) address.searchParams.delete(name);
    else address.searchParams.set(name, text);
  });
  if (address.href === window.location.href) return;
  // The browser's button Back leads to the tab before; everything else replaces the entry in its history.
  const moved = opened !== address.searchParams.get('tab');
  history[moved ? 'pushState' : 'replaceState'](null, '', address);
  window.onpopstate ??= () => window.location.reload();
}
