"""CrystalCoder and CrystalChat-7B for transformers: importing the package makes the Auto classes know them."""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightRenaming

from web2code.modelling.crystalcoder.configuration import CrystalCoderConfig
from web2code.modelling.crystalcoder.model import CrystalCoderForCausalLM, CrystalCoderModel

__all__ = ["CrystalCoderConfig", "CrystalCoderForCausalLM", "CrystalCoderModel"]

AutoConfig.register(CrystalCoderConfig.model_type, CrystalCoderConfig)
AutoModel.register(CrystalCoderConfig, CrystalCoderModel)
AutoModelForCausalLM.register(CrystalCoderConfig, CrystalCoderForCausalLM)
AutoTokenizer.register(CrystalCoderConfig, fast_tokenizer_class=PreTrainedTokenizerFast)
register_checkpoint_conversion_mapping(CrystalCoderConfig.model_type, [WeightRenaming("wte", "embed_tokens")])
