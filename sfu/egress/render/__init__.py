"""One render: a browser without a network of its own, which publishes what a web page shows."""
