"""Tables, the written analysis, the HTML page."""
