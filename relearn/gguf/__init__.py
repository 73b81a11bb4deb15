"""GGUF, llama.cpp's file format for models: checked, and converted into a folder in Hugging Face format."""
