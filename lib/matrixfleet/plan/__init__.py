"""What follows from what was said: pure functions from the model, once a target. No Kubernetes here."""

from matrixfleet.plan.plan import Plan, PlatformPlan, TenantPlan, plan_of

__all__ = ["Plan", "PlatformPlan", "TenantPlan", "plan_of"]
