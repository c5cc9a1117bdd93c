#include "operator/reconcile/auth.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace holdfast::reconcile {
namespace {

AuthPlan take(AuthStep step) {
  return {step, std::nullopt};
}

AuthPlan wait(std::string reason, std::string message) {
  return {std::nullopt, Waiting{std::move(reason), std::move(message)}};
}

AuthPlan wait_for_members(const char* what) {
  return wait(kWaitingForMembers,
              absl::StrCat("authentication is ", what, " once a quorum of members answers"));
}

AuthPlan plan_off(const AuthObserved& seen) {
  const bool by_us = seen.current || seen.next;
  if (seen.state == AuthObserved::State::kOff) {
    return by_us ? take(ForgetPasswords{}) : AuthPlan{};
  }
  if (seen.state != AuthObserved::State::kOn) {
    return by_us ? wait_for_members("disabled") : AuthPlan{};
  }
  if (by_us && seen.taken && seen.answers) return take(DisableAuth{});
  if (by_us && !seen.refused) return wait_for_members("disabled");
  if (by_us) {
    return wait(kCredentialsRefused,
                absl::StrCat("authentication can't be disabled: the members take no password that "
                             "is known for root; put the one they take into the key password of "
                             "Secret ",
                             seen.secret, ", or disable it with etcdctl auth disable"));
  }
  return wait("EnabledByHand",
              absl::StrCat("the members have authentication enabled and nobody told the operator a "
                           "password: set spec.auth.enabled and put root's into the key password "
                           "of Secret ",
                           seen.secret, ", or disable it with etcdctl auth disable"));
}

/// What the Secret lacks; none: it can be used.
std::optional<AuthPlan> plan_secret(const AuthObserved& seen) {
  if (!seen.secret_exists && !seen.secret_is_named) return take(GenerateRootSecret{});
  if (!seen.secret_exists) {
    return wait("RootSecretMissing", absl::StrCat("there is no Secret ", seen.secret,
                                                  " (spec.auth.rootSecretRef), or the operator may "
                                                  "not read it; make it with root's password in "
                                                  "its key password"));
  }
  if (!seen.secret_problem.empty()) return wait("RootSecretUnusable", seen.secret_problem);
  return std::nullopt;
}

AuthPlan plan_enabling(const AuthObserved& seen) {
  if (seen.has_strangers) {
    return wait("WaitingForFinishJoin",
                "authentication is enabled once the joined cluster is left behind (FinishJoin): "
                "its clients would be locked out");
  }
  if (seen.next != seen.wanted_password) return take(NoteNextPassword{});
  return take(EnableAuth{});
}

AuthPlan plan_password(const AuthObserved& seen) {
  if (!seen.taken && !seen.other_taken) {
    if (!seen.refused) {
      return wait(kWaitingForMembers, "no member could be asked to sign root in yet");
    }
    return wait(
        kCredentialsRefused,
        absl::StrCat("the members do not take root's password as it is known here: somebody "
                     "changed it, or restored other users; put the one they take into the "
                     "key password of Secret ",
                     seen.secret, " and nothing else needs to be done"));
  }
  if (seen.taken && seen.taken != seen.current) return take(NoteTakenPassword{});
  if (seen.taken && seen.taken == seen.wanted_password) {
    return seen.next ? take(NoteTakenPassword{}) : AuthPlan{};
  }
  if (seen.next != seen.wanted_password) return take(NoteNextPassword{});
  if (!seen.answers) {
    return wait(kWaitingForMembers, "root's password is changed once a quorum of members answers");
  }
  return take(ChangeRootPassword{});
}

/// Members have taken what is wanted when they were last heard of.
bool is_noted_as_done(const AuthObserved& seen) {
  return seen.current && seen.current == seen.wanted_password && !seen.next;
}

}  // namespace

AuthPlan plan_auth(const AuthObserved& seen) {
  if (seen.deleting) return {};
  if (seen.paused) {
    return seen.refused ? wait(kCredentialsRefused,
                               "the members do not take root's password, and "
                               "spec.paused is set: nothing is done about it")
                        : AuthPlan{};
  }
  if (!seen.wanted) return plan_off(seen);
  if (auto lacking = plan_secret(seen)) return *std::move(lacking);
  if (seen.state == AuthObserved::State::kOn) return plan_password(seen);
  if (seen.state == AuthObserved::State::kUnknown && is_noted_as_done(seen)) return {};
  if (seen.state == AuthObserved::State::kUnknown || !seen.answers) {
    return wait_for_members("enabled");
  }
  return plan_enabling(seen);
}

namespace {

struct Name {
  std::string operator()(const GenerateRootSecret& /*step*/) const { return "GenerateRootSecret"; }
  std::string operator()(const NoteNextPassword& /*step*/) const { return "NoteNextPassword"; }
  std::string operator()(const EnableAuth& /*step*/) const { return "EnableAuth"; }
  std::string operator()(const ChangeRootPassword& /*step*/) const { return "ChangeRootPassword"; }
  std::string operator()(const NoteTakenPassword& /*step*/) const { return "NoteTakenPassword"; }
  std::string operator()(const DisableAuth& /*step*/) const { return "DisableAuth"; }
  std::string operator()(const ForgetPasswords& /*step*/) const { return "ForgetPasswords"; }
};

}  // namespace

std::string to_string(const AuthStep& step) {
  return std::visit(Name{}, step);
}

}  // namespace holdfast::reconcile
