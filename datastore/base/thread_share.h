#pragma once

namespace holdfast {

/// How the calling thread shares a processor with the process's others, where there are fewer than
/// want to run. Where the kernel refuses or does not know it, nothing changes.

/// It works for long at a time, and others go first: a tenth of their weight (nice 10).
void run_behind_others();

/// It does little at a time and clients wait for it: runs when it is woken instead of when whoever
/// runs has had its turn. Linux 6.12 and later; before, the scheduler gives it that by itself.
void run_when_woken();

}  // namespace holdfast
