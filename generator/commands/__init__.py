"""What commands do beside the pipeline that bakes."""
