"""Part of a fine-tune's change, without training: θ₀ + λ(θ₁ − θ₀), of adapters and of whole models."""
