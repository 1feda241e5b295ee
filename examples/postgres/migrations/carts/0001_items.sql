-- A table of the same name as another module's: each has a schema of its own.
CREATE TABLE items (
    cart     TEXT    NOT NULL,
    sku      TEXT    NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (cart, sku)
);
