package seed

import (
	"strings"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// trade is what a company sells: each article in each variant.
type trade struct {
	prefix   string
	articles []article
	variants []string
}

type article struct {
	name  string
	cents int64 // of the first variant
}

// trades are those of the demo's tenants. All have as many products, so that
// every ID means something to each of them.
var trades = map[tenant.ID]trade{
	"acme": {"ACM", []article{
		{"Anvil", 8900},
		{"Rocket skates", 24900},
		{"Giant magnet", 15900},
		{"Portable hole", 49900},
		{"Spring-powered shoes", 7900},
		{"Bird seed", 1200},
		{"Instant tunnel paint", 3400},
		{"Jet-propelled unicycle", 89900},
	}, []string{"standard", "heavy duty", "desert edition"}},
	"globex": {"GLX", []article{
		{"Solar panel", 18900},
		{"Wind turbine blade", 129900},
		{"Heat pump", 349900},
		{"Battery cell", 5900},
		{"Inverter", 64900},
		{"Smart meter", 8900},
		{"Charging cable", 12900},
		{"Thermal store", 89900},
	}, []string{"home", "business", "industrial"}},
	"initech": {"INI", []article{
		{"Stapler", 1900},
		{"Report cover sheets", 600},
		{"Label printer", 7900},
		{"Desk lamp", 4900},
		{"Filing cabinet", 21900},
		{"Whiteboard", 11900},
		{"Swivel chair", 29900},
		{"Desk organiser", 1500},
	}, []string{"grey", "red", "walnut"}},
	"umbrella": {"UMB", []article{
		{"First aid kit", 3900},
		{"Blood pressure monitor", 6900},
		{"Thermometer", 2400},
		{"Sterile gloves", 1100},
		{"Pulse oximeter", 4400},
		{"Nebuliser", 9900},
		{"Wheelchair", 38900},
		{"Folding umbrella", 1900},
	}, []string{"single", "clinic pack", "hospital pack"}},
	"hooli": {"HOO", []article{
		{"Phone", 69900},
		{"Tablet", 54900},
		{"Laptop", 139900},
		{"Earbuds", 14900},
		{"Smart watch", 27900},
		{"Home speaker", 9900},
		{"Set-top box", 5900},
		{"Compression dongle", 3900},
	}, []string{"lite", "pro", "max"}},
}

// allTrades serve tenants of other names.
var allTrades = []trade{trades["acme"], trades["globex"], trades["initech"], trades["umbrella"], trades["hooli"]}

var firstNames = []string{
	"Ada", "Amara", "Anders", "Aiko", "Bao", "Beatriz", "Carlos", "Chidi", "Clara", "Daniel", "Dimitra", "Elif",
	"Emeka", "Fatima", "Finn", "Giulia", "Hana", "Hugo", "Ines", "Ivan", "Jonas", "Kavya", "Kofi", "Lars", "Leila",
	"Lucía", "Mateo", "Mei", "Mona", "Nadia", "Noah", "Olga", "Omar", "Priya", "Rafael", "Rosa", "Sofia", "Tariq",
	"Yara", "Zoë",
}

var lastNames = []string{
	"Abebe", "Andersson", "Bauer", "Bianchi", "Chen", "Costa", "Diaz", "Dubois", "Fischer", "García", "Haddad",
	"Hansen", "Ito", "Ivanova", "Jensen", "Kaya", "Kim", "Kowalska", "Kumar", "Larsen", "Lopez", "Martin", "Mensah",
	"Müller", "Nakamura", "Nguyen", "Novák", "Okafor", "Oliveira", "Papadopoulou", "Patel", "Rossi", "Santos",
	"Schmidt", "Silva", "Singh", "Sørensen", "Tanaka", "Weber", "Yilmaz",
}

var cities = []string{
	"Amsterdam", "Athens", "Barcelona", "Berlin", "Bogotá", "Cape Town", "Copenhagen", "Dublin", "Hamburg", "Helsinki",
	"Istanbul", "Lagos", "Lisbon", "London", "Lyon", "Milan", "Mumbai", "Nairobi", "Osaka", "Oslo", "Porto", "Prague",
	"Seoul", "Stockholm", "Tallinn", "Toronto", "Vienna", "Warsaw", "Zürich",
}

var toASCII = strings.NewReplacer("á", "a", "í", "i", "ë", "e", "ü", "u", "ø", "o", " ", "")

// ascii makes a name fit for an e-mail address.
func ascii(name string) string { return toASCII.Replace(strings.ToLower(name)) }
