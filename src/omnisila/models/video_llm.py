"""The two kinds of Video-LLM beside whose visual tokens scene tokens can stand. Source: Omni-SILA 3.4.

Both have ``width`` of their token embeddings, the ids ``video_id``, ``scene_id`` and ``pad_id``, and ``max_tokens``
that prompt and answer may have together. ``embed`` turns ids and visual features into embeddings, ``decode`` gives
logits from the prompt's last token on, ``generate`` answers and can go on from the keys and values of ``empty_cache``.
A family of pretrained ones is a file of ``models/backbones``.
"""

from omnisila.models.compact import CompactVideoLLM
from omnisila.models.transformers_llm import TransformersVideoLLM

VideoLLM = CompactVideoLLM | TransformersVideoLLM
