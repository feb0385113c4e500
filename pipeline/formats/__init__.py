"""Other people's formats: token sets of Megatron-LM, MosaicML Streaming and Parquet."""
