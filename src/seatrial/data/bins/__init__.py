"""Prepared inputs as files of raw bytes, as Ascend's tools read them."""
