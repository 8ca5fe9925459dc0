//! What is part of the program: a classifier, its labels and three photos.

/// EfficientNet-Lite0 for ImageNet, batch norm folded, as ONNX.
pub const CLASSIFIER: &[u8] = include_bytes!("../../../data/models/efficientnet_lite0.onnx");

/// The ImageNet class names, one a line, in the order of the classes.
pub const IMAGENET_CLASSES: &str = include_str!("../../../data/imagenet-classes.txt");

/// Name and bytes of the photos.
pub const PHOTOS: [(&str, &[u8]); 3] = [
    ("chelsea.png", include_bytes!("../../../data/photos/chelsea.png")),
    ("coffee.png", include_bytes!("../../../data/photos/coffee.png")),
    ("rocket.jpg", include_bytes!("../../../data/photos/rocket.jpg")),
];
