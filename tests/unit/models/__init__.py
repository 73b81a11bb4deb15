"""Models, adapters and chat templates as people have them."""
