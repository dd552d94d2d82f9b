// Package api serves the order desk: customers, products, orders and reports,
// one file each.
//
// The handlers are those of any Echo and GORM application. The tenant is in
// the request's context, and db.WithContext passes it on: there is no other
// trace of it here, but for whereami.go, which exists to show it.
//
// Whatever goes wrong is an error that HandleError turns into a problem
// document (RFC 9457): 400 for a request that cannot be read, 422 for one that
// says something impossible, with the fields that are at fault, 404, and 409
// where the data stands against it. The causes of a 500 are logged only.
package api
