include(unit/reconcile/certificate_mutants.cmake)
include(unit/reconcile/planner_mutants.cmake)
