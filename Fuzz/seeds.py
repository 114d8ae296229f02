#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the inputs that fuzzing begins with, and a dictionary of the words in them.

    Fuzz/seeds.py FOLDER

FOLDER/TARGET/ then has one file a seed, FOLDER/TARGET.dictionary the words. Seeds are made of the files that tests
read, cut down to what a fuzzer can change in many ways, and of a few hostile ones by hand.
"""

import json
import re
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
NANO = ROOT / "Tests/Fixtures/nano"
VECTORS = ROOT / "Formats/Vectors"

# What JSON is made of, and numbers at the borders of what is counted in.
WORDS = ["{", "}", "[", "]", ":", ",", '""', "null", "true", "false", "-", "0", "1", "1e999", "0.5", "\\u0000", "\\ud83d"]
WORDS += [str(n) for n in [2**16, 2**20, 2**24, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63)]]
TYPES = ["BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "I16", "F16", "BF16", "I32", "F32", "I64", "U64", "F64", "C64", "F4"]
DIALECT = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj", "mlp.gate.weight", "self_attn.conv1d.weight"]
DIALECT += ["self_attn.forget_gate.f_a_proj.weight", "mlp.shared_experts.up_proj.weight"]
SIZES = {"F32": 4, "BF16": 2, "I64": 8, "U8": 1, "F16": 2}


def compact(value) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def safetensors(tensors: list[tuple[str, str, list[int]]], metadata=None) -> tuple[bytes, int]:
    """The header of tensors that lie one behind the other, and the size of their data."""
    header = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, dtype, shape in tensors:
        size = SIZES[dtype]
        for dimension in shape:
            size *= dimension
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    return compact(header), end


def headers() -> list[tuple[bytes, int]]:
    return [
        safetensors([]),
        safetensors([("a", "F32", [])], {"format": "pt", "é": "\u0000"}),
        safetensors([("a", "BF16", [2, 3]), ("empty", "I64", [0, 7]), ("b", "U8", [5])]),
        safetensors([(f"model.layers.0.{name}", "BF16", [6, 2, 1]) for name in DIALECT]),
        (b'{"a":{"dtype":"F32","shape":[4611686018427387904,2],"data_offsets":[0,0]}}', 0),
        (b'{"a":{"dtype":"F64","shape":[0,9223372036854775807,9223372036854775807],"data_offsets":[0,0]}}', 0),
    ]


def model() -> tuple[dict, list[tuple[str, str, list[int]]]]:
    """The smallest model there is: one layer of latent attention with a dense feed-forward part."""
    configuration = json.loads((NANO / "config.json").read_bytes())
    configuration |= dict(vocab_size=2, hidden_size=2, num_hidden_layers=1, num_attention_heads=1, intermediate_size=1)
    configuration |= dict(num_key_value_heads=1, kv_lora_rank=1, qk_nope_head_dim=1, qk_rope_head_dim=0, v_head_dim=1)
    configuration["linear_attn_config"] |= dict(full_attn_layers=[1], kda_layers=[])
    shapes = {
        "model.embed_tokens.weight": [2, 2], "model.norm.weight": [2], "lm_head.weight": [2, 2],
        "input_layernorm.weight": [2], "post_attention_layernorm.weight": [2],
        "self_attn.q_proj.weight": [1, 2], "self_attn.kv_a_proj_with_mqa.weight": [1, 2],
        "self_attn.kv_a_layernorm.weight": [1], "self_attn.kv_b_proj.weight": [2, 1], "self_attn.o_proj.weight": [2, 1],
        "mlp.gate_proj.weight": [1, 2], "mlp.up_proj.weight": [1, 2], "mlp.down_proj.weight": [2, 1],
    }
    prefix = "model.layers.0."
    return configuration, [
        (name if name.startswith(("model", "lm")) else prefix + name, "BF16", shape) for name, shape in shapes.items()]


def configurations() -> list[bytes]:
    nano = json.loads((NANO / "config.json").read_bytes())
    transformers = nano | dict(
        linear_attn_config=None, layer_types=["linear_attention"] * 3 + ["full_attention"],
        mlp_layer_types=["dense"] + ["sparse"] * 3, linear_num_heads=4, linear_head_dim=64, linear_conv_kernel_dim=4,
        num_local_experts=8, num_experts_per_tok=2, n_shared_experts=1, n_group=1, norm_topk_prob=True,
        max_position_embeddings=4096, scoring_func="sigmoid", attention_bias=False, q_lora_rank=3)
    return [compact(nano), compact(transformers), compact(model()[0])]


def recipes() -> list[bytes]:
    page = (ROOT / "Formats/Recipe.md").read_text()
    return [compact(json.loads(text)) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]


def packed() -> list[bytes]:
    golden = (VECTORS / "tiny-v1.kiln").read_bytes()
    size, start = struct.unpack_from("<QQ", golden, 24)
    header = golden[64:64 + size].rstrip(b" ")
    data = struct.pack("<Q", len(golden) - start)
    large = dict(json.loads(header), files=[], assemblies=[], tensors=[
        dict(name="a", encoding="int4-row", shape=[2**39, 2], source_dtype="BF16", offset=4096, bytes=2**40, checksums=[])])
    seeds = [b"\x00" + golden, b"\x01" + golden, b"\x02" + data + header]
    compressed = (VECTORS / "tiny-v1-zstd.kiln").read_bytes()
    shard = (VECTORS / "tiny-v1-shards/model-00001-of-00002.kiln").read_bytes()
    seeds += [b"\x01" + compressed, b"\x01" + shard]
    for file, kind in [(compressed, 6), (shard, 10)]:
        seeds.append(bytes([kind]) + struct.pack("<Q", len(file) - 4096) + file[64:4096].rstrip(b" "))
    return seeds + [b"\x02" + struct.pack("<Q", 2**40 - 1) + compact(large)]


def blocks() -> list[bytes]:
    """Blocks of the golden file, and contents to compress."""
    golden = (VECTORS / "tiny-v1-zstd.kiln").read_bytes()
    header = json.loads(golden[64:4096])
    widths = {"u8": 1, "bf16": 2, "f32": 4}
    seeds = [bytes([128 + 4, 0, 0, 0]) + bytes(range(256)) * 4, bytes([128 + 2, 1, 0, 0]) + b"\x80\x3f" * 300]
    for tensor in header["tensors"]:
        width = widths[tensor["encoding"]]
        size = min(width * tensor["shape"][0], (1 << 20) - 1)
        stored = golden[tensor["offset"]:][:tensor.get("blocks", [tensor["bytes"]])[0]]
        seeds.append(bytes([width]) + struct.pack("<I", size)[:3] + stored)
    return seeds


def tokenizers() -> list[bytes]:
    lines = (NANO / "tiktoken.model").read_bytes().splitlines()
    longer = [line.split()[0] for line in lines[256:262]]
    tokens = b"".join(b"%s %d\n" % (token, 256 + index) for index, token in enumerate(longer))
    first = 256 + len(longer)
    names = compact({"added_tokens_decoder": {
        str(first): {"content": "<|a|>"}, str(first + 1): {"content": "<|a|>b"}, "65": {"content": "A"}}})
    text = "Kiln's 12345 töne\r\n\t  <|a|>b 陶 e\u0301".encode()
    return [
        b"\x00" + tokens.replace(b"\n", b"\r\n") + b"\x00\x00" + text,
        b"\x02" + tokens + b"\x00" + names + b"\x00" + text,
        b"\x06\x00" + compact({"added_tokens_decoder": None}) + b"\x00" + text,
        b"\x01" + b"\n".join(lines[:256]) + b"\x00\x00" + text,
    ]


def seeds() -> dict[str, list[bytes]]:
    configuration, tensors = model()
    dialect = [(f"model.layers.0.{name}", "BF16", [6, 2, 1]) for name in DIALECT]
    return {
        "json": configurations() + recipes() + [b"[" * 130, b'{"\\u00e9":1,"\xc3\xa9":2}', b"[1e999,-0,1e-999]"],
        "recipe": [recipe + b"\x00model.layers.2.mlp.up_proj.weight" for recipe in recipes()]
        + [b'{"kiln_recipe":1,"rules":[{"name":"*a*a*a?b","scheme":"f32"}]}\x00aaaaaaaaaaaab'],
        "configuration": configurations(),
        "safetensors-header": [struct.pack("<Q", size) + text for text, size in headers()],
        "safetensors-file": [struct.pack("<Q", len(text)) + text + bytes(size) for text, size in headers()]
        + [struct.pack("<Q", 2**64 - 1), b"\x02" + bytes(7) + b"{}"],
        "safetensors-index": [
            compact({"metadata": {"total_size": 1}, "weight_map": {"a": "x-00001-of-00002.safetensors", "b": "c/d"}}),
            b'{"weight_map":{"a":"../b","c":"/etc/passwd","d":"e\\u0000"}}'],
        "kiln-header": packed(),
        "block": blocks(),
        "checkpoint": [
            compact(configuration) + b"\x00" + text + bytes(size)
            for text, size in [safetensors(tensors), safetensors(tensors + dialect)]],
        "tokenizer": tokenizers(),
        "tokenizer-text": [
            "Kiln's 12345 töne\r\n\t  <|a|>b 陶 e\u0301".encode(), b"a" * 100, "ſ'ſ\u1c89\u2028ǅ".encode(), b"\xed\xa0\x80"],
    }


def main(folder: Path) -> None:
    for target, inputs in seeds().items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        words = set(WORDS + [f'"{word}"' for word in TYPES + DIALECT] if target != "tokenizer-text" else ["<|a|>", "'ll"])
        for index, content in enumerate(inputs):
            (folder / target / f"seed-{index}").write_bytes(content)
            words.update(re.findall(r'"[ -!#-\[\]-~]{1,40}"', content.decode(errors="replace")))
        entries = ["".join(f"\\x{byte:02x}" for byte in word.encode()) for word in sorted(words)]
        (folder / f"{target}.dictionary").write_text("".join(f'"{entry}"\n' for entry in entries))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
