"""The tabs of the page, each a function that creates its components and connects their events."""
