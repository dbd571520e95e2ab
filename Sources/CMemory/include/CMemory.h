#ifndef CMEMORY_H
#define CMEMORY_H

/// Gives memory that is not in use back to the system, where the C library keeps it otherwise (glibc; malloc_trim(3)).
void cmemory_give_back(void);

/// From now on, memory is given back as soon as it is free: blocks of a mebibyte and more at once, smaller ones when a mebibyte at the end of
/// a heap is free (glibc; mallopt(3)). Otherwise the limits grow with what was once needed. To be called before there are other threads.
void cmemory_keep_little(void);

#endif
