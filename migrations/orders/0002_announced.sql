-- What the other modules were told of an order: nothing, that it is placed, or that it is cancelled.
ALTER TABLE orders ADD COLUMN announced TEXT NOT NULL DEFAULT '';
