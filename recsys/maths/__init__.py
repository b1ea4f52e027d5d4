"""One definition per quantity: used by the objective that wants it and by the metric that measures it."""
