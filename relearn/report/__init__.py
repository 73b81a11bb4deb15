"""Tables, the written analysis, the page people look at, the rating page, the frontier, dataset and model cards."""
