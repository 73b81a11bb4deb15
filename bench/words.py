"""Words for texts that read like nothing, of benchmarks that need many."""

WORDS = (
    *("the", "film", "was", "a", "slow", "careful", "story", "about", "house", "sea", "people", "who", "never"),
    *("speak", "and", "one", "long", "winter", "light"),
)
