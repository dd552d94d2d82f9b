// Command gormsuite runs GORM's own integration tests on PostgreSQL twice,
// plain and with the plugin installed and a tenant in the context, and prints
// what passes without the plugin and fails with it.
//
//	go run ./tests/gormsuite -src DIR [-run regexp] [-v]
//
// DIR (or GORM_SRC) is a checkout of github.com/go-gorm/gorm at the version
// that this module requires; another version is refused, by comparing its
// sources with the module's. The checkout is copied, never changed.
//
// How the tenant comes in: in the copy, every gorm.Open of a test becomes
// suiteOpen, and every context.Background becomes suiteContext (rewrite.go;
// their code is in the folder overlay). All connections and contexts of the
// suite come from these two, so that no test escapes, and nothing else of a
// test is touched. Both runs use the same binary, on a fresh database each.
// A test that takes the process down does not take the rest along: the rest
// runs again without it, on another fresh database.
//
// A difference that cannot go away stands in explained.txt with its reason.
// Any other is exit code 1, and so is an explained test that passes. What it
// does not do: judge tests that fail or skip without the plugin, too.
package main
