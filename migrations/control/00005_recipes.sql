-- +goose Up

-- What fills a new tenant's schema has a number where it brings none of its own, as
-- models do: later ones have higher numbers.
CREATE TABLE recipes (
    name    text COLLATE "C" PRIMARY KEY,
    version bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    at      timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE recipes;
