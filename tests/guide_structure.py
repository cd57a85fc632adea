"""What the READMEs of the five Ascend guides have in common: headings in their order, and columns of their tables.

Four describe inference (SK-ResNet50, SPNASNet-100, SE-ResNeXt101, ResNeXt-50); ResNet50's describes training too, and
brings the last sections.
"""

HEADINGS = (
    (1, "概述"),
    (2, "输入输出数据"),
    (1, "推理环境准备"),
    (1, "快速上手"),
    (2, "获取源码"),
    (2, "准备数据集"),
    (2, "模型推理"),
    (1, "模型推理性能&精度"),
    (1, "性能优化"),
    (1, "精度调试"),
    (1, "训练结果展示"),
    (1, "版本说明"),
    (2, "变更"),
    (2, "FAQ"),
    (1, "公网地址说明"),
)
"""Level and title; 性能优化 and 精度调试 are in guides that did the one or the other."""
TABLES = (
    ("输入数据", "数据类型", "大小", "数据排布格式"),
    ("输出数据", "数据类型", "大小", "数据排布格式"),
    ("配套", "版本", "环境准备指导"),
    ("芯片型号", "Batch Size", "数据集", "精度", "性能"),
    ("NAME", "Acc@1", "FPS", "Epochs", "AMP_Type", "Torch_Version"),
)
"""Columns of each table, in their order; ours may have more between them."""
