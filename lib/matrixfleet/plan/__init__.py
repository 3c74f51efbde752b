"""What follows from what was said: pure functions from the model, once a target. No Kubernetes here."""

from matrixfleet.plan.plan import PlatformPlan, TenantPlan, plan_of

__all__ = ["PlatformPlan", "TenantPlan", "plan_of"]
