// Included before every file of the tsan build. readerwriterqueue orders its memory by fences, which ThreadSanitizer does not
// see. The queue brings the annotations that tell it, and turns them on for clang alone; gcc's runtime has them too.
#pragma once

extern "C" void AnnotateHappensBefore(const char* file, int line, void* address);
extern "C" void AnnotateHappensAfter(const char* file, int line, void* address);

namespace fetcher::tsan {
inline int fence_order;
}

// The queue's own names.
#define AE_TSAN_ANNOTATE_RELEASE() AnnotateHappensBefore(__FILE__, __LINE__, &::fetcher::tsan::fence_order)
#define AE_TSAN_ANNOTATE_ACQUIRE() AnnotateHappensAfter(__FILE__, __LINE__, &::fetcher::tsan::fence_order)
