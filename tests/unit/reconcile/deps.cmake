include(unit/reconcile/certificate_mutants.cmake)
