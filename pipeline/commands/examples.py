"""Examples for `--help` of each command, and how `prepare --help` groups the commands."""

GROUPS = {
    "make a corpus": ("init", "plan", "run", "refilter", "calibrate", "fit-lm"),
    "look at it": ("report", "compare", "explain", "duplicates", "trace", "quarantine"),
    "keep it right": ("verify", "erase", "index"),
    "other formats": ("export", "import"),
    "reference": ("filters", "schema", "completion"),
}

EXAMPLES = {
    "run": """\
prepare run corpus.yaml
prepare run corpus.yaml --workers 8 --set output=build/second --set filters.0.min_score=0.8
prepare run corpus.yaml --json | jq -c 'select(.event == "progress")'""",
    "refilter": """\
prepare refilter build/corpus --set filters.0.min_score=0.8""",
    "verify": """\
prepare verify build/corpus
prepare verify build/corpus --pii""",
    "fit-lm": """\
prepare fit-lm build/corpus --out lm/en.binary
prepare fit-lm --text good/*.txt --out lm/en.binary""",
    "calibrate": """\
prepare calibrate corpus.yaml
prepare calibrate corpus.yaml --documents 2000""",
    "explain": """\
prepare explain build/corpus article-17
prepare explain build/corpus raw/domain/a.jsonl#12 --source domain""",
    "trace": """\
prepare trace build/corpus --source domain --row 0
prepare trace build/corpus --source domain --row 0 --token 128""",
    "duplicates": """\
prepare duplicates build/corpus --by similarity --limit 5
prepare duplicates build/corpus article-17""",
    "index": """\
prepare index index/
prepare index index/ --delete may""",
    "quarantine": """\
prepare quarantine build/corpus
prepare quarantine build/corpus --reason too_long --show
prepare quarantine build/corpus --retry --set limits.max_document_bytes=50000000""",
    "erase": """\
prepare erase build/corpus --ids forget.txt""",
    "export": """\
prepare export build/corpus --format megatron --to build/corpus-megatron""",
    "import": """\
prepare import build/corpus-megatron --to build/again""",
    "filters": """\
prepare filters
prepare filters gopher_quality""",
    "schema": """\
prepare schema > manifest.schema.json""",
    "completion": """\
source <(prepare completion bash)
prepare completion zsh > ~/.zfunc/_prepare
prepare completion fish > ~/.config/fish/completions/prepare.fish""",
    "init": """\
prepare init raw/""",
    "plan": """\
prepare plan corpus.yaml""",
    "report": """\
prepare report build/corpus""",
    "compare": """\
prepare compare build/corpus build/second""",
}
