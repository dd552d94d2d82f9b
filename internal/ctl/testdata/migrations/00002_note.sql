-- +goose Up
ALTER TABLE orders ADD COLUMN note text;
CREATE INDEX orders_amount ON orders (amount);
-- +goose Down
DROP INDEX orders_amount;
ALTER TABLE orders DROP COLUMN note;
