#pragma once

#include <cstddef>
#include <optional>

/// This process's memory, as the kernel and the allocator see it.
namespace holdfast::platform {

/// Its anonymous memory: what the kernel can't drop and read again (RssAnon). Nothing where the
/// kernel does not tell.
std::optional<std::size_t> anonymous_memory_bytes();

/// The least memory.max of the control groups (version 2) that it is in; nothing if none has one.
std::optional<std::size_t> control_group_memory_bytes();

/// Makes the allocator give big blocks back to the kernel as they are freed, rather than keep them
/// for the next. Once, before there are threads.
void give_back_big_blocks();

/// Gives back what the allocator keeps. Takes milliseconds, and its locks meanwhile.
void give_back_free_memory();

}  // namespace holdfast::platform
