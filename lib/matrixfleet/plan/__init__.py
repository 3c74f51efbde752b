"""What follows from what was said: pure functions from the model, once a target. No Kubernetes here."""

from matrixfleet.plan.plan import NamespacePlan, Plan, PlatformPlan, TenantPlan, plan_of

__all__ = ["NamespacePlan", "Plan", "PlatformPlan", "TenantPlan", "plan_of"]
