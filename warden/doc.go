// Package warden closes the loop: it feeds what package metrics has measured to the outlier
// detector, window by window, tells sinks and the control plane what that finds, and, if it
// may, quarantines who does too much. It also adds this process's usage to the control
// plane's, and reports the process with its connection pools, for tenantctl.
//
//	w, err := warden.New(warden.Config{Registry: reg, Metrics: p.Metrics(), Pools: p.Stats})
//	err = w.Start(ctx)
//	defer w.Stop()
//
//	collector -> differences of a window -> outlier.Detector -> events
//	events -> series of their own, sinks, findings (tenantctl tenant outliers), quarantine
//
// It promises that detection never waits for the control plane: what is to be written waits
// in a bounded queue, and is dropped, and counted, beyond that. Quarantine is off unless
// Config.Quarantine says DryRun, or On: it begins with a cause that harms others, has an
// end, is capped by the registry, and is in the audit trail as the actor "warden".
//
// It does not decide how tenants in quarantine run (registry.SetLane) and releases nobody:
// a quarantine ends by itself, and doubles when the tenant is found again.
package warden
