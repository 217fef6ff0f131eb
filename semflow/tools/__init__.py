"""What people use beside the workflow: bench, plan, data check and prepare, init, convert, pictures of their own."""
