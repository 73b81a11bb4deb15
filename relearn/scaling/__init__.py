"""A part of what a fine-tune changed, without training: θ₀ + λ(θ₁ − θ₀), of adapters and of whole models."""
