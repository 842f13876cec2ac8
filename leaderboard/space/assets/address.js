(...values) => {
  const text = (value) => (typeof value === 'boolean' ? String(Number(value)) : String(value ?? ''));
  const write = () => {
    // Only what differs from the page as it opens stands in the address, in one order; gradio's own parameters stay.
    const address = new URL(window.location.href);
    const opened = address.searchParams.get('tab');
    DEFAULTS.forEach(([name]) => address.searchParams.delete(name));
    DEFAULTS.forEach(([name, usual], i) => {
      if (text(values[i]) !== text(usual)) address.searchParams.append(name, text(values[i]));
    });
    if (address.href === window.location.href) return;
    // The browser's button Back leads to the tab before; everything else replaces the entry in its history.
    const moved = opened !== address.searchParams.get('tab');
    history[moved ? 'pushState' : 'replaceState'](null, '', address);
    window.onpopstate ??= () => window.location.reload();
  };
  // Once per pause: a browser takes 10 ms to write its address, and the view need not wait for that.
  clearTimeout(window.addressWaits);
  window.addressWaits = setTimeout(write, 100);
}
