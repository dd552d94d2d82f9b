-- +goose Up
CREATE TABLE orders (id bigint PRIMARY KEY, amount int NOT NULL);
-- +goose Down
DROP TABLE orders;
