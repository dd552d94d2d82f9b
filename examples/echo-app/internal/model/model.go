package model

import "time"

// Customer is someone who places orders.
type Customer struct {
	ID        int64     `gorm:"primaryKey" json:"id"`
	Name      string    `gorm:"size:100;not null" json:"name"`
	Email     string    `gorm:"size:200;not null;uniqueIndex" json:"email"`
	City      string    `gorm:"size:100;not null" json:"city"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Product is something that can be ordered.
type Product struct {
	ID         int64  `gorm:"primaryKey" json:"id"`
	SKU        string `gorm:"column:sku;size:40;not null;uniqueIndex" json:"sku"`
	Name       string `gorm:"size:200;not null" json:"name"`
	PriceCents int64  `gorm:"not null;check:price_cents >= 0" json:"price_cents"`
	// Stock is what can still be sold, in pieces. The check is the last line
	// of defence against overselling; placing an order locks the row.
	Stock     int64     `gorm:"not null;check:stock >= 0" json:"stock"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// The states of an order.
const (
	Placed    = "placed"
	Cancelled = "cancelled"
)

// Order is what a customer ordered, at the prices of that moment.
type Order struct {
	ID          int64       `gorm:"primaryKey" json:"id"`
	CustomerID  int64       `gorm:"not null;index" json:"customer_id"`
	Customer    *Customer   `json:"customer,omitempty"`
	Status      string      `gorm:"size:20;not null;index" json:"status"`
	TotalCents  int64       `gorm:"not null" json:"total_cents"`
	PlacedAt    time.Time   `gorm:"not null;index" json:"placed_at"`
	CancelledAt *time.Time  `json:"cancelled_at,omitempty"`
	Lines       []OrderLine `gorm:"constraint:OnDelete:CASCADE" json:"lines,omitempty"`
}

// OrderLine is one product of an order.
type OrderLine struct {
	ID        int64    `gorm:"primaryKey" json:"id"`
	OrderID   int64    `gorm:"not null;index" json:"-"`
	ProductID int64    `gorm:"not null;index" json:"product_id"`
	Product   *Product `json:"product,omitempty"`
	Quantity  int64    `gorm:"not null;check:quantity > 0" json:"quantity"`
	// UnitCents is the product's price when the order was placed.
	UnitCents int64 `gorm:"not null" json:"unit_cents"`
}

// All lists the models, for AutoMigrate and tenantplugin.WithModels.
func All() []any { return []any{&Customer{}, &Product{}, &Order{}, &OrderLine{}} }
