extern "C" int pytorch3d_ext() { return 79; }
