//! What the sample shop sells, with pictures that need no font.

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Product {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// What is inside the picture's frame, 24 by 24.
    #[serde(skip)]
    strokes: &'static str,
    pub(super) price_cents: u32,
}

impl Product {
    pub(super) fn svg(&self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"#8a5a2b\" stroke-width=\"1.5\" \
             stroke-linecap=\"round\" stroke-linejoin=\"round\">{}</svg>",
            self.strokes
        )
    }
}

pub(super) const PRODUCTS: &[Product] = &[
    Product {
        id: "mug",
        name: "Enamel mug",
        strokes: "<path d=\"M5 8h11v9a3 3 0 0 1-3 3H8a3 3 0 0 1-3-3z\"/><path d=\"M16 10h2a2.5 2.5 0 0 1 0 5h-2M8 2v3M12 2v3\"/>",
        price_cents: 1_490,
    },
    Product {
        id: "lamp",
        name: "Reading lamp",
        strokes: "<path d=\"M8 3h8l3 8H5z\"/><path d=\"M12 11v9M8 21h8M15 11v3\"/>",
        price_cents: 4_900,
    },
    Product {
        id: "notebook",
        name: "Dotted notebook",
        strokes: "<path d=\"M6 3h12v18H6zM9 3v18\"/><path d=\"M12 8h.01M15 8h.01M12 12h.01M15 12h.01M12 16h.01M15 16h.01\"/>",
        price_cents: 1_250,
    },
    Product {
        id: "plant",
        name: "A plant that forgives",
        strokes: "<path d=\"M7 15h10l-1.5 6h-7z\"/><path d=\"M12 15V8M12 10c-4 0-5-2-5-5 4 0 5 2 5 5zM12 8c0-3 1.500-5 5-5 0 4-2 5-5 5z\"/>",
        price_cents: 2_300,
    },
    Product {
        id: "kite",
        name: "Kite",
        strokes: "<path d=\"M13 2l7 7-9 6-4-5zM13 2l-2 13M7 10l13-1\"/><path d=\"M11 15c-2 2 0 3-2 5s-3 0-5 2\"/>",
        price_cents: 3_150,
    },
    Product {
        id: "map",
        name: "Map of somewhere else",
        strokes: "<path d=\"M3 6l6-3 6 3 6-3v15l-6 3-6-3-6 3zM9 3v15M15 6v15\"/>",
        price_cents: 1_800,
    },
];
