#ifndef CMEMORY_H
#define CMEMORY_H

/// Gives back to the system the unused memory that the C library keeps (glibc; malloc_trim(3)).
void cmemory_give_back(void);

/// From now on, memory is given back when it is free: blocks of a mebibyte and more at once, smaller blocks when a
/// mebibyte at the end of a heap is free (glibc; mallopt(3)). Without this call, the limits grow with what the process
/// once needed. Must be called before there are other threads.
void cmemory_keep_little(void);

#endif
