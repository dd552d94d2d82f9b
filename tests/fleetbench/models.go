package main

import "time"

// The models of an order desk: ten tables with their keys and indexes.
type customer struct {
	ID        int64
	Email     string `gorm:"uniqueIndex"`
	Name      string `gorm:"index"`
	CreatedAt time.Time
}

type product struct {
	ID    int64
	SKU   string `gorm:"uniqueIndex"`
	Name  string `gorm:"index"`
	Price int64
}

type warehouse struct {
	ID   int64
	Code string `gorm:"uniqueIndex"`
}

type stock struct {
	ID          int64
	ProductID   int64 `gorm:"uniqueIndex:stock_place"`
	WarehouseID int64 `gorm:"uniqueIndex:stock_place"`
	Quantity    int64
	Product     product
	Warehouse   warehouse
}

type order struct {
	ID         int64
	CustomerID int64 `gorm:"index"`
	Status     string
	PlacedAt   time.Time `gorm:"index"`
	Customer   customer
}

type line struct {
	ID        int64
	OrderID   int64 `gorm:"index"`
	ProductID int64 `gorm:"index"`
	Quantity  int64
	Order     order
	Product   product
}

type payment struct {
	ID      int64
	OrderID int64 `gorm:"index"`
	Cents   int64
	Order   order
}

type shipment struct {
	ID      int64
	OrderID int64  `gorm:"index"`
	Code    string `gorm:"uniqueIndex"`
	Order   order
}

type note struct {
	ID         int64
	CustomerID int64 `gorm:"index"`
	Text       string
	Customer   customer
}

type setting struct {
	ID    int64
	Key   string `gorm:"uniqueIndex"`
	Value string
}

var models = []any{
	&customer{}, &product{}, &warehouse{}, &stock{}, &order{}, &line{}, &payment{}, &shipment{}, &note{}, &setting{},
}
