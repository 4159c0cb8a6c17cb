"""Readers of public datasets, a function each: `(folder) -> samples and rejected rows`, streamed."""

from web2code.data.readers.llava import read_llava_instruct, read_llava_mix665k, read_llava_pretrain
from web2code.data.readers.llavar2 import read_llavar2
from web2code.data.readers.parquet import read_vsft, read_websight
from web2code.data.readers.pix2code import read_pix2code
from web2code.data.readers.scienceqa import read_scienceqa
from web2code.data.readers.web2code import read_web2code, read_wub
from web2code.data.readers.websrc import read_websrc
from web2code.data.sample import Reader

# A new public dataset needs its function and a line here.
READERS: dict[str, Reader] = {
    "llava-instruct-150k": read_llava_instruct,
    "llava-mix665k": read_llava_mix665k,
    "llava-pretrain": read_llava_pretrain,
    "llavar2": read_llavar2,
    "pix2code": read_pix2code,
    "scienceqa": read_scienceqa,
    "vsft": read_vsft,
    "web2code": read_web2code,
    "websight": read_websight,
    "websrc": read_websrc,
    "wub": read_wub,
}
